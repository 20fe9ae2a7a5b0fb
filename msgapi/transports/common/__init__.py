"""What several transports share: deadlines, the request on the wire, the response, coalescing."""
