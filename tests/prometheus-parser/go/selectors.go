package main

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promql = parser.NewParser(parser.Options{})

// Parses a selector as Prometheus does.
func parseSelector(text string) ([]*labels.Matcher, bool) {
	// A selector may not have blanks around it there, but an expression may.
	expression, err := promql.ParseExpr(text)
	if err != nil {
		return nil, false
	}
	selector, ok := expression.(*parser.VectorSelector)
	if !ok || selector.OriginalOffset != 0 || selector.Timestamp != nil || selector.StartOrEnd != 0 {
		return nil, false
	}
	return selector.LabelMatchers, true
}

// An item is a selector, a number of series, and for each series a number of pairs of a label and its value. The answer
// is one byte for the selector, 1 if it is valid, and then one for each series, 1 if it matches.
func answerSelectors(items *reader) []byte {
	var answer []byte
	for !items.isEmpty() {
		matchers, ok := parseSelector(string(items.bytes()))
		answer = append(answer, bit(ok))
		for count := items.byte(); count > 0; count-- {
			series := map[string]string{}
			for pairs := items.byte(); pairs > 0; pairs-- {
				label := string(items.bytes())
				series[label] = string(items.bytes())
			}
			answer = append(answer, bit(ok && matches(matchers, func(label string) string { return series[label] })))
		}
	}
	return answer
}

func matches(matchers []*labels.Matcher, value func(string) string) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(value(matcher.Name)) {
			return false
		}
	}
	return true
}

func bit(is bool) byte {
	if is {
		return 1
	}
	return 0
}
