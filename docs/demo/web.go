// Command web is the service of the demonstration: it says which session it
// belongs to, on $PORT. In a container it keeps notes in a file of its volume.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "check" {
		response, err := http.Get("http://127.0.0.1:" + os.Getenv("PORT"))
		if err != nil || response.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from %s, slot %s\n", os.Getenv("ECLUSE_SLUG"), os.Getenv("ECLUSE_SLOT"))
	})
	server := http.Server{Addr: ":" + os.Getenv("PORT"), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("listening on %s", server.Addr)
	log.Fatal(server.ListenAndServe())
}
