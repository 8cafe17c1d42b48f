"""Operations: the kinds of work that a loaded model does. A file an operation; `table` has them all."""
