"""What is true of the pages without a browser: their files, their words and the libraries that they carry."""
