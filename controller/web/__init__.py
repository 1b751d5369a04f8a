"""The controller's HTTP side: media for nodes, the API, the page. Nothing here decides."""
