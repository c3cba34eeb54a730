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
	listener, err := net.Listen("tcp", "127.0.0.1:"+*port)
	if err != nil {
		fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s %s\n", os.Getenv("ECLUSE_SLUG"), os.Getenv("ECLUSE_BRANCH"))
	})))
}

func fatal(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
