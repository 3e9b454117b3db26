"""A door for agents: a library's questions as tools of the Model Context Protocol."""
