"""The rim of reports: the tables of counts, and the files that are handed on."""
