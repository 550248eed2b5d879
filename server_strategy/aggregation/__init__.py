"""What lies between a phone's update and the sum that the server sees of it."""
