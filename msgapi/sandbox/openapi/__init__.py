"""The OpenAPI document of the sandbox, made from its routes and the models of their requests and responses."""
