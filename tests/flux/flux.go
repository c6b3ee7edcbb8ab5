// Package flux names the types whose definitions are generated.
package flux

import _ "github.com/fluxcd/helm-controller/api/v2"
