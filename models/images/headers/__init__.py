"""What the headers of image files say, read from the bytes before anything is decoded: a file a format, and one table."""
