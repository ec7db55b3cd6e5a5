"""KServe's custom resource definitions, from the models of its published SDK.

`schemas.json` holds one definition per line, with references; `generate` writes it from the SDK's wheel and a
Kubernetes API server's OpenAPI, `definitions` makes the CustomResourceDefinitions of it.
"""
