"""The command line: one table from which help is made; demo, passwd, cloud_cert, drivers."""
