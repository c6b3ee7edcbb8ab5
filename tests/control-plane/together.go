package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"
)

// How long the first client may take to connect before the container gives up.
const firstClient = 2 * time.Minute

// together runs the components that the file lists, each an array of arguments for this same binary, and
// ends when the client that holds the address goes away. A test process that is killed cannot say goodbye
// to Docker, but the kernel closes its connections.
func together(args []string) int {
	if len(args) != 2 {
		usage()
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return fail(err)
	}
	var commands [][]string
	if err := json.Unmarshal(text, &commands); err != nil {
		return fail(fmt.Errorf("%s: %w", args[1], err))
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return fail(err)
	}
	for _, command := range commands {
		go keep(command)
	}
	released := make(chan error, 1)
	go func() { released <- held(listener) }()
	if err := <-released; err != nil {
		return fail(err)
	}
	// Process 1 of a container takes the others with it.
	return 0
}

// keep restarts a component that ends: the controller manager gives up when it comes up before the API server.
func keep(command []string) {
	for {
		process := exec.Command("/proc/self/exe", command...)
		process.Stdout, process.Stderr = os.Stdout, os.Stderr
		err := process.Run()
		fmt.Fprintf(os.Stderr, "together: %s ended (%v), starting it again\n", command[0], err)
		time.Sleep(500 * time.Millisecond)
	}
}

// held returns when a connection that has said something is closed. Silent ones are port probes of Docker's proxy.
func held(listener net.Listener) error {
	holder := make(chan net.Conn, 1)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				hello := make([]byte, 1)
				if _, err := io.ReadFull(connection, hello); err != nil {
					return
				}
				// The echo tells the client that it reached this process and not only the proxy.
				if _, err := connection.Write(hello); err == nil {
					holder <- connection
				}
			}()
		}
	}()
	select {
	case connection := <-holder:
		// An error is a closed connection as well.
		_, _ = io.Copy(io.Discard, connection)
		return nil
	case <-time.After(firstClient):
		return fmt.Errorf("nobody connected within %s", firstClient)
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "together:", err)
	return 1
}
