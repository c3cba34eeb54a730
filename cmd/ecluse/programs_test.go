package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// webapp is the web service of the tests' sessions. It serves at $PORT what its
// session is, and can be told to misbehave.
func webapp() {
	var (
		ignore = flag.Bool("ignore-term", false, "ignore SIGTERM")
		fork   = flag.Bool("fork", false, "leave a grandchild in a session of its own")
		sleep  = flag.Bool("sleep", false, "serve nothing")
		port   = flag.String("port", os.Getenv("PORT"), "the port")
		hosts  = flag.String("hosts", "127.0.0.1", "the addresses, with commas; an empty one is all")
	)
	flag.Parse()
	if *ignore {
		signal.Ignore(syscall.SIGTERM)
	}
	if *fork {
		child := exec.Command("webapp", "-sleep", "-ignore-term")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			fatal(err)
		}
	}
	if *sleep {
		time.Sleep(time.Hour)
	}
	for _, host := range strings.Split(*hosts, ",") {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, *port))
		if err != nil {
			fatal(err)
		}
		fmt.Println("listening on", listener.Addr())
		go func() { fatal(http.Serve(listener, http.HandlerFunc(tell))) }()
	}
	select {}
}

// tell answers with what the session is.
func tell(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "%s %s\n", os.Getenv("ECLUSE_SLUG"), os.Getenv("ECLUSE_BRANCH"))
}

func fatal(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
