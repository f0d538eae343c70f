// Command ferret serves FerretDB, with SQLite below it, on one port of the loopback interface until it is ended. It is a module of its
// own, so that what FerretDB is made of is no part of Firth's.
//
//	ferret FOLDER PORT [TLS-PORT CERTIFICATE KEY]
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ferret:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 2 && len(args) != 5 {
		return fmt.Errorf("give a folder and a port, and a port, a certificate and a key for TLS; got %q", args)
	}
	listen := ferretdb.ListenerConfig{TCP: "127.0.0.1:" + args[1]}
	if len(args) == 5 {
		listen.TLS, listen.TLSCertFile, listen.TLSKeyFile = "127.0.0.1:"+args[2], args[3], args[4]
	}
	f, err := ferretdb.New(&ferretdb.Config{
		Listener: listen, Handler: "sqlite", SQLiteURL: "file:" + args[0] + "/",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return f.Run(ctx)
}
