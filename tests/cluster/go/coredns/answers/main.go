// Command answers starts CoreDNS on Corefiles, each on its own, and tells what it answers.
//
// It reads one JSON object a line and answers each with one JSON object on one line. All of it is the real CoreDNS with
// real sockets, but each of its servers listens on a free port of loopback, the kubernetes plugin asks the API server of
// the kubeconfig in the first argument, and what is forwarded comes to a DNS server of our own that plays the internet.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"hairpin-proxy/tests/coredns/corefile"
)

type question struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type request struct {
	Text      string            `json:"text"`
	Files     map[string]string `json:"files"`
	Questions []question        `json:"questions"`
}

type reply struct {
	Error string `json:"error,omitempty"`
	// Block is the server block that answered, counted from 0; Seen is the question behind its rewrite rules.
	Block   int      `json:"block"`
	Seen    question `json:"seen"`
	Rcode   string   `json:"rcode"`
	Records []record `json:"records"`
}

type record struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	TTL     uint32 `json:"ttl"`
	Data    string `json:"data"`
}

type result struct {
	Error   string             `json:"error"`
	Replies map[string][]reply `json:"replies"`
}

// answers starts CoreDNS, asks each of its servers everything, and ends it.
func answers(folder string, asked request) (result, error) {
	remove, err := corefile.LayOut(folder, asked.Files)
	defer remove()
	if err != nil {
		return result{}, err
	}
	running, err := start(filepath.Join(folder, "Corefile"), asked.Text)
	defer running.stop()
	if err != nil {
		return result{Error: err.Error()}, nil
	}
	found := result{Replies: map[string][]reply{}}
	for server, address := range running.listening {
		network := "udp"
		if strings.HasPrefix(server, "tls://") {
			network = "tcp"
		}
		for _, q := range asked.Questions {
			found.Replies[server] = append(found.Replies[server], ask(network, address, q))
		}
	}
	return found, nil
}

func ask(network, address string, q question) reply {
	seen = observed{block: -1}
	message := new(dns.Msg)
	message.SetQuestion(q.Name, dns.StringToType[q.Type])
	client := dns.Client{Net: network, Timeout: 3 * time.Second}
	response, _, err := client.Exchange(message, address)
	if err != nil {
		return reply{Error: err.Error(), Block: seen.block, Records: []record{}}
	}
	told := reply{
		Block: seen.block, Seen: seen.question, Rcode: dns.RcodeToString[response.Rcode], Records: []record{},
	}
	sections := map[string][]dns.RR{"answer": response.Answer, "authority": response.Ns, "additional": response.Extra}
	for section, records := range sections {
		for _, rr := range records {
			header := rr.Header()
			data := strings.TrimPrefix(rr.String(), header.String())
			data = dns.TypeToString[header.Rrtype] + " " + data
			told.Records = append(told.Records, record{section, header.Name, header.Ttl, data})
		}
	}
	slices.SortFunc(told.Records, func(a, b record) int {
		return strings.Compare(a.Section+a.Name+a.Data, b.Section+b.Name+b.Data)
	})
	return told
}

func serve(folder string) error {
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var asked request
		if err := json.Unmarshal([]byte(line), &asked); err != nil {
			return err
		}
		found, err := answers(folder, asked)
		if err != nil {
			return err
		}
		if err := output.Encode(found); err != nil {
			return err
		}
	}
}

func run(kubeconfig string) error {
	folder, err := os.MkdirTemp("", "hairpin-proxy-answers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	internet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := dns.Server{PacketConn: internet, Handler: dns.HandlerFunc(play)}
	go server.ActivateAndServe()
	corefile.Register(onLoopback(kubeconfig, internet.LocalAddr().String()), around)
	return serve(folder)
}

func main() {
	log.SetOutput(io.Discard)
	if err := run(os.Args[1]); err != nil {
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	}
}
