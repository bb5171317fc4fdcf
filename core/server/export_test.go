package server

import "github.com/berrygate/berry/core"

// Operations lets tests outside walk the table.
func Operations() []core.Operation { return operations() }
