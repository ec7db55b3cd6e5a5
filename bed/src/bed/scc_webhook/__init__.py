"""The bed's stand-in for OpenShift's security context constraints: `restricted-v2`, and only that.

Acts on pods of namespaces with the annotation `openshift.io/sa.scc.uid-range`; pods elsewhere pass as they are. The
rules are those of openshift/apiserver-library-go (pkg/securitycontextconstraints) and of the SCC that OpenShift ships
under this name. `restricted` is pure.
"""
