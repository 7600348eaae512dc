// Reads a metrics page with expfmt in a loop, as a short program does it.
//
//	poll URL FAMILY COUNT
//
// Prints the CPU time of one reading, in nanoseconds.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func main() {
	url, family := os.Args[1], os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	// The first reading opens the connection, which the client keeps.
	read(url, family)
	before := cpuTime()
	for range count {
		read(url, family)
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println((cpuTime() - before).Nanoseconds() / int64(count))
}

func read(url, family string) {
	response, err := http.Get(url)
	check(err)
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	check(err)
	if families[family] == nil {
		check(fmt.Errorf("no %s on the page", family))
	}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
