"""The bed's stand-in for Open Data Hub's connections: a webhook on InferenceServices, and the storage-config secret.

The rules are those of opendatahub-operator's connection webhook, which can undo a conversion to a claim, and of
odh-model-controller's secret controller, which hands S3 connections to KServe; docs/emulator.md lists them.
`connections` and `storage_config` are pure.
"""
