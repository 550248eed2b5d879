"""The simulated world: phones, time, availability, and rounds resolved before anything is trained."""
