"""A stand-in for pulumi-resource-kubernetes, for machines that can't download it.

The Pulumi engine starts `bin/pulumi-resource-kubernetes`, reads a port from its standard output and
speaks the ResourceProvider protocol with it. The stand-in knows the kinds that this project declares
and any custom resource, and refuses everything else by name. What it answers, and the state that it
leaves, are the real plugin's (4.34), so that a stack can go from one to the other and back: the
recordings under tests/contract/kubernetes_plugin are the law.

    kinds       which kinds, annotations and type tokens there are      pure
    values      values on the wire: secrets, unknowns, plain ones       pure
    quantities  1024Mi is 1Gi                                           pure
    objects     inputs, live objects and the state made of both         pure
    diffing     what changed, and whether that means a new object       pure
    managers    who owns which field, and the hand-over on update       pure
    readiness   whether a live object is ready                          pure
    options     what the provider may be configured with
    api         the cluster's REST API
    waiting     until it is ready, until it is gone
    lifecycle   create, read, update, delete
    host        the engine's log
    server      the protocol
"""
