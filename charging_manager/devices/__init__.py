"""What a device is to us: the vocabulary of a driver, the loader of drivers/, a driver at an address."""
