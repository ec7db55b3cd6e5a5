"""The bed's KServe **emulator**: CRDs, controller and webhooks that do what KServe's Standard mode does.

It is not KServe. It was written from 25 recordings of the real controller and from KServe's documented behaviour, and
is checked against those recordings object by object (tests/emulator). docs/emulator.md says what it leaves out.

Modules that compute objects know no cluster: defaulting, validation, selection, predictor, transformer, multinode,
workload, storage, credentials, modelcar, pods, conditions, status, service. Only `cluster` speaks HTTP; `controller`,
`webhooks` and `install` join the two.
"""
