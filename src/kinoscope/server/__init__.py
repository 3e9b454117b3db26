"""The library over HTTP: REST, the OpenAI interface, and a page."""
