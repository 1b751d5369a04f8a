"""The network in virtual time: machines, links with their delays, connections."""
