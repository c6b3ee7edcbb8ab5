// Package controllers stands in for the module of this name, which the module proxy does not serve.
//
// The operator's Gateway API cell takes one constant from it, for backends that are ServiceImports; no suite has any.
package controllers

// DerivedServiceAnnotation names the Service that stands for a ServiceImport in its cluster.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
