"""What the benchmarks compare with: one program a file, as its documentation writes it, at its best documented setting."""
