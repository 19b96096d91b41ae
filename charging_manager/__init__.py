"""Charging Manager: shares one grid connection among electric cars, at the site and from anywhere."""

VERSION = "0.1.0"
