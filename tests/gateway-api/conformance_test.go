// Package conformance is the upstream conformance suite of Gateway API with one line of JSON for each test: its own report says
// which tests failed, and not what they were about.
package conformance

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// What came of one test.
type result struct {
	Name     string   `json:"name"`
	Features []string `json:"features"`
	Passed   bool     `json:"passed"`
	Seconds  float64  `json:"seconds"`
}

func TestConformance(t *testing.T) {
	results, err := os.Create(os.Getenv("CONFORMANCE_RESULTS"))
	if err != nil {
		t.Fatal(err)
	}
	// Tests that may run beside others begin when this function has ended, and the report of the suite takes them for passed by then.
	t.Cleanup(func() { results.Close() })
	for index := range tests.ConformanceTests {
		tests.ConformanceTests[index].Test = recorded(tests.ConformanceTests[index], json.NewEncoder(results))
	}
	conformance.RunConformance(t)
}

func recorded(test suite.ConformanceTest, results *json.Encoder) func(*testing.T, *suite.ConformanceTestSuite) {
	return func(t *testing.T, cluster *suite.ConformanceTestSuite) {
		begin := time.Now()
		// The first of the cleanups is the last to run: after the subtests, and also when the test ends itself.
		t.Cleanup(func() {
			features := []string{}
			for _, feature := range test.Features {
				features = append(features, string(feature))
			}
			line := result{test.ShortName, features, !t.Failed(), time.Since(begin).Seconds()}
			if err := results.Encode(line); err != nil {
				t.Error(err)
			}
		})
		test.Test(t, cluster)
	}
}
