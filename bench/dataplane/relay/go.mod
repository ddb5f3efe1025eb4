// The rival's design: a TCP relay whose copying the Go runtime turns into splice(2).
module hairpin-proxy/bench/relay

go 1.25
