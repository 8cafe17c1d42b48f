"""Sources of images: list once, open by index, labels optional. A file a source; `table` has them all."""
