// Command tool is what the containers of the tests run: a static program that can
// be a server, a one-shot, something that never gets healthy, and its own health
// check. An image made of it alone needs no registry.
package main

import (
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

func main() {
	var (
		say          = flag.String("say", "", "print lines (separated by |) and go on")
		serve        = flag.String("serve", "", "serve HTTP at this address")
		udp          = flag.String("udp", "", "echo UDP at this address")
		write        = flag.String("write", "", "write FILE=TEXT, unless the file is there")
		after        = flag.Duration("after", 0, "wait before anything else")
		healthyAfter = flag.Duration("healthy-after", 0, "answer /health with 503 until then")
		healthyFile  = flag.String("healthy-file", "", "answer /health with 503 until this file is there")
		exit         = flag.Int("exit", -1, "exit with this status instead of running on")
		deaf         = flag.Bool("deaf", false, "ignore TERM")
		health       = flag.String("health", "", "be a health check of this URL")
	)
	flag.Parse()
	if *health != "" {
		os.Exit(check(*health))
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	time.Sleep(*after)
	for _, line := range strings.Split(*say, "|") {
		fmt.Fprintln(os.Stderr, line)
	}
	if path, text, ok := strings.Cut(*write, "="); ok {
		put(path, text)
	}
	if *serve != "" {
		go answer(*serve, time.Now().Add(*healthyAfter), *healthyFile)
	}
	if *udp != "" {
		go echo(*udp)
	}
	if *exit >= 0 {
		os.Exit(*exit)
	}
	for range stop {
		if !*deaf {
			return
		}
	}
}

func put(path, text string) {
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// answer serves the environment, files of the container and of other servers.
func answer(addr string, healthy time.Time, file string) {
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		_, err := os.Stat(file)
		if time.Now().Before(healthy) || file != "" && err != nil {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv(r.URL.Query().Get("name")))
	})
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(r.URL.Query().Get("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	})
	http.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get(r.URL.Query().Get("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "tool") })
	fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, nil))
	os.Exit(1)
}

func echo(addr string) {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(buf[:n], from)
	}
}

// check is a health check: the status of a program.
func check(url string) int {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		fmt.Printf("%s: %s", resp.Status, body)
		return 1
	}
	return 0
}
