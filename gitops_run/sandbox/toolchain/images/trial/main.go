// Trial is a container for trials: it serves, crashes, eats memory or fails its probes, as its arguments say.
//
// Every flag of a command can be set in the environment too: -unready is UNREADY, -after is AFTER.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: trial COMMAND [FLAGS]
  serve   [-port 8080] [-body TEXT] [-delay 0s] [-unready] [-unhealthy-after 0s]
          GET / answers TEXT and the pod's name; /readyz and /healthz are for probes
  crash   [-after 0s] [-line TEXT] [-code 1]
  eat     [-megabytes 64]      then waits
  lookup  NAME                 prints its addresses
  get     URL                  prints what it answers`

func main() {
	arguments := os.Args[1:]
	if len(arguments) == 0 {
		arguments = []string{"serve"}
	}
	commands := map[string]func([]string) error{
		"serve": serve, "crash": crash, "eat": eat, "lookup": lookup, "get": get,
	}
	command, known := commands[arguments[0]]
	if !known {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := command(arguments[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	port := flags.Int("port", 8080, "")
	body := flags.String("body", "hello", "")
	delay := flags.Duration("delay", 0, "how long /readyz says no")
	unready := flags.Bool("unready", false, "/readyz always says no")
	unhealthyAfter := flags.Duration("unhealthy-after", 0, "from when on /healthz says no; 0: never")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	began := time.Now()
	name, _ := os.Hostname()
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Printf("%s %s\n", request.Method, request.URL.Path)
		fmt.Fprintf(answer, "%s from %s\n", *body, name)
	})
	http.HandleFunc("/readyz", probe(func() bool { return !*unready && time.Since(began) >= *delay }))
	http.HandleFunc("/healthz", probe(func() bool {
		return *unhealthyAfter == 0 || time.Since(began) < *unhealthyAfter
	}))
	server := &http.Server{Addr: fmt.Sprintf(":%d", *port)}
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(asked, func() { _ = server.Close() })
	fmt.Printf("serving %q on port %d\n", *body, *port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func probe(isGood func() bool) http.HandlerFunc {
	return func(answer http.ResponseWriter, _ *http.Request) {
		if !isGood() {
			http.Error(answer, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(answer, "ok")
	}
}

func crash(arguments []string) error {
	flags := flag.NewFlagSet("crash", flag.ExitOnError)
	after := flags.Duration("after", 0, "")
	line := flags.String("line", "crashed as asked", "the last line of the log")
	code := flags.Int("code", 1, "")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	fmt.Printf("crashing after %s\n", *after)
	time.Sleep(*after)
	fmt.Fprintln(os.Stderr, *line)
	os.Exit(*code)
	return nil
}

func eat(arguments []string) error {
	flags := flag.NewFlagSet("eat", flag.ExitOnError)
	megabytes := flags.Int("megabytes", 64, "")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	eaten := make([][]byte, 0, *megabytes)
	for range *megabytes {
		page := make([]byte, 1<<20)
		for at := 0; at < len(page); at += 4096 {
			page[at] = 1
		}
		eaten = append(eaten, page)
	}
	fmt.Printf("ate %d MB\n", len(eaten))
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-asked.Done()
	return nil
}

func lookup(arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("which name?")
	}
	addresses, err := net.LookupHost(arguments[0])
	fmt.Println(strings.Join(addresses, "\n"))
	return err
}

func get(arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("which URL?")
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(arguments[0])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func parse(flags *flag.FlagSet, arguments []string) error {
	var failure error
	flags.VisitAll(func(one *flag.Flag) {
		variable := strings.ToUpper(strings.ReplaceAll(one.Name, "-", "_"))
		if value, isSet := os.LookupEnv(variable); isSet {
			failure = errors.Join(failure, flags.Set(one.Name, value))
		}
	})
	return errors.Join(failure, flags.Parse(arguments))
}
