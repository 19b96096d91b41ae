"""What both taps share: options, log levels and last lines, the settings file, the runtime file."""
