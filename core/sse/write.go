package sse

// Begin appends the beginning of an event, up to its data. name is the event's type; "" leaves the default.
func Begin(dst []byte, name string) []byte {
	if name != "" {
		dst = append(append(append(dst, "event: "...), name...), '\n')
	}
	return append(dst, "data: "...)
}

// End appends the end of an event.
func End(dst []byte) []byte { return append(dst, "\n\n"...) }

// Append appends an event. data must be one line.
func Append(dst []byte, name string, data []byte) []byte {
	return End(append(Begin(dst, name), data...))
}

// Comment appends a comment, which clients ignore. text must be one line.
func Comment(dst []byte, text string) []byte { return End(append(append(dst, ": "...), text...)) }
