// relay LISTEN TARGET: puts a PROXY v1 line in front of each TCP connection and hands it to the target.
//
// The design of a rival that ships its own relay: a goroutine for the connection, one for each direction, and one that
// ends both when the process is to end; and io.Copy, which the Go runtime turns into splice(2) between TCP connections.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const patience = 5 * time.Second

func main() {
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	context.AfterFunc(ending, func() { listener.Close() })
	var open sync.WaitGroup
	for {
		client, err := listener.Accept()
		if err != nil {
			break
		}
		open.Add(1)
		go func() {
			defer open.Done()
			if err := serve(ending, client, os.Args[2]); err != nil {
				log.Print(err)
			}
		}()
	}
	open.Wait()
}

func serve(ending context.Context, client net.Conn, address string) error {
	defer client.Close()
	target, err := dial(ending, address)
	if err != nil {
		return err
	}
	defer target.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-done:
		case <-ending.Done():
			client.Close()
			target.Close()
		}
	}()
	target.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(target, header(client)); err != nil {
		return err
	}
	target.SetWriteDeadline(time.Time{})
	var both sync.WaitGroup
	both.Add(2)
	go copyTo(target, client, &both)
	go copyTo(client, target, &both)
	both.Wait()
	return nil
}

func dial(ending context.Context, address string) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ending, patience)
	defer cancel()
	var dialer net.Dialer
	return dialer.DialContext(limited, "tcp", address)
}

func copyTo(to, from net.Conn, both *sync.WaitGroup) {
	defer both.Done()
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

// header is version 1 of the PROXY protocol, https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.1.
func header(client net.Conn) string {
	from, to := client.RemoteAddr().(*net.TCPAddr), client.LocalAddr().(*net.TCPAddr)
	family := "TCP6"
	if from.IP.To4() != nil {
		family = "TCP4"
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, from.IP, to.IP, from.Port, to.Port)
}
