"""How the updates of a round become one sum without the server seeing any of them alone."""
