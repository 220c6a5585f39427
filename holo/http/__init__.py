"""The HTTP edge: what a node answers to programs it knows nothing about.

One table of routes (:mod:`holo.http.table`) is the single source of routing, parameters, the OpenAPI document and the
documentation page. One module holds each resource. Nothing here decides who may write or what is current: that is the
registry's, behind one door.
"""
