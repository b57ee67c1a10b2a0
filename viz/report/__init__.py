"""A report over many pictures: one HTML file that opens anywhere, plain data for the page, files in a folder."""
