"""Enrolment: how a box comes by its place and its certificate, and loses them."""
