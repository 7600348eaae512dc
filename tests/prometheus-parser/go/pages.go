package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"regexp"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// The answer for a page.
const (
	// The page is valid; what follows counts its series.
	valid = iota
	// The page is invalid, but no invalid line can hide a selected series; what follows counts those of the valid lines.
	invalidElsewhere
	// An invalid line may hide a selected series.
	invalid
)

// The points of the matching series, by the labels of the series.
type sums map[uint64]point

type point struct {
	value   float64
	time    int64
	hasTime bool
}

// An item is a format, `T` or `O`, a selector, the text that a selected name contains, and a page. The answer is a
// byte, a number of series of four bytes, and the sum of their last points as a float of eight bytes.
func answerPages(items *reader) []byte {
	var answer []byte
	selectors := map[string][]*labels.Matcher{}
	for !items.isEmpty() {
		isOpenMetrics := items.byte() == 'O'
		text, name, page := string(items.bytes()), items.bytes(), items.bytes()
		matchers, known := selectors[text]
		if !known {
			matchers, _ = parseSelector(text)
			selectors[text] = matchers
		}
		found := sums{}
		kind := byte(valid)
		if !found.add(page, isOpenMetrics, matchers) {
			found = sums{}
			kind = found.addLines(page, isOpenMetrics, matchers, name)
		}
		sum := 0.0
		for _, point := range found {
			sum += point.value
		}
		answer = append(answer, kind)
		answer = binary.LittleEndian.AppendUint32(answer, uint32(len(found)))
		answer = binary.LittleEndian.AppendUint64(answer, math.Float64bits(sum))
	}
	return answer
}

var unclosedName = regexp.MustCompile(`(?m)^[ \t]*#[ \t]+(HELP|TYPE|UNIT)[ \t]+"([^"\\\n]|\\[^\n])*$`)

var indent = regexp.MustCompile(`(?m)^[ \t]+`)

// Adds the matching series of a page. Returns whether the page is valid.
func (s sums) add(page []byte, isOpenMetrics bool, matchers []*labels.Matcher) (ok bool) {
	// The parser ends reading at a NUL, and takes the next lines for the rest of a quoted name, both without an error.
	if bytes.IndexByte(page, 0) >= 0 || unclosedName.Match(page) {
		return false
	}
	// The text format ignores leading blanks. The parser makes them part of the name.
	if !isOpenMetrics {
		page = indent.ReplaceAll(page, nil)
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	var parser textparse.Parser
	if isOpenMetrics {
		parser = textparse.NewOpenMetricsParser(page, labels.NewSymbolTable())
	} else {
		parser = textparse.NewPromParser(page, labels.NewSymbolTable(), false)
	}
	var series labels.Labels
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, time, value := parser.Series()
		parser.Labels(&series)
		if !series.IsValid(model.UTF8Validation) {
			return false
		}
		if _, duplicate := series.HasDuplicateLabelNames(); duplicate {
			return false
		}
		if matches(matchers, series.Get) {
			s.addPoint(series.WithoutEmpty().Hash(), value, time)
		}
	}
}

// Adds a point of a series. Of several points the last one counts.
func (s sums) addPoint(series uint64, value float64, time *int64) {
	earlier, exists := s[series]
	next := point{value: value, hasTime: time != nil}
	if time != nil {
		next.time = *time
	}
	if !exists || next.hasTime && earlier.hasTime && earlier.time <= next.time {
		s[series] = next
	}
}

var ownName = regexp.MustCompile(`^[ \t]*[a-zA-Z_:][a-zA-Z0-9_:]*`)

// Adds the lines of an invalid page that are valid by themselves, in either format. Unlike there, a line may have a byte
// order mark if it is the first, a carriage return, and any number of blanks between its parts.
func (s sums) addLines(page []byte, isOpenMetrics bool, matchers []*labels.Matcher, name []byte) byte {
	page = bytes.TrimPrefix(page, []byte("\ufeff"))
	for _, line := range bytes.Split(page, []byte("\n")) {
		text := bytes.Trim(bytes.TrimSuffix(line, []byte("\r")), " \t")
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		if text[0] == '<' {
			return invalid
		}
		asText := append(append([]byte{}, text...), '\n')
		asOpenMetrics := append(normalize(text), "\n# EOF\n"...)
		if isOpenMetrics && s.add(asOpenMetrics, true, matchers) || s.add(asText, false, matchers) || s.add(asOpenMetrics, true, matchers) {
			continue
		}
		if len(name) == 0 || bytes.Contains(text[len(ownPart(text, matchers)):], name) {
			return invalid
		}
	}
	return invalidElsewhere
}

// Returns the name that a line starts with, if no series of that name is selected.
func ownPart(text []byte, matchers []*labels.Matcher) []byte {
	name := ownName.Find(text)
	for _, matcher := range matchers {
		if matcher.Name == labels.MetricName && utf8.Valid(name) && !matcher.Matches(string(name)) {
			return name
		}
	}
	return nil
}

// Returns a line with the blanks between its parts that OpenMetrics prescribes.
func normalize(line []byte) []byte {
	var output []byte
	isBlank, isQuoted, isEscaped := false, false, false
	for _, next := range line {
		switch {
		case isQuoted:
			isQuoted = next != '"' || isEscaped
			isEscaped = next == '\\' && !isEscaped
		case next == ' ' || next == '\t':
			isBlank = true
			continue
		default:
			last := byte(' ')
			if len(output) > 0 {
				last = output[len(output)-1]
			}
			isAttached := bytes.IndexByte([]byte("{,= "), last) >= 0 || bytes.IndexByte([]byte("},="), next) >= 0 || next == '{' && last != '#'
			if next == '#' || last == '#' || last == '}' || isBlank && !isAttached {
				output = append(output, ' ')
			}
			isQuoted, isEscaped = next == '"', false
		}
		isBlank = false
		output = append(output, next)
	}
	return output
}
