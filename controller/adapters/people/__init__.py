"""People on files, in the database and at the door: accounts, passwords, passkeys, second factors."""
