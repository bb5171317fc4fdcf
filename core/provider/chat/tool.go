package chat

import "github.com/tidwall/gjson"

func tool(v value) Tool {
	var t Tool
	v.members(func(key string, v value) {
		switch key {
		case "type":
			v.only(`"function"`)
		case "function":
			v.members(func(key string, v value) {
				switch key {
				case "name":
					t.Name = v.text()
				case "description":
					t.Description = v.text()
				case "parameters":
					t.Parameters = v.object()
				case "strict":
					t.Strict = v.flag()
				default:
					v.unsupported()
				}
			})
		default:
			v.unsupported()
		}
	})
	if t.Name == "" {
		v.fail("must be a function with a name.")
	}
	return t
}

func toolChoice(v value) ToolChoice {
	if v.Type == gjson.String {
		return ToolChoice{Mode: toolMode(v)}
	}
	c := ToolChoice{Mode: "required"}
	v.members(func(key string, v value) {
		switch key {
		case "type":
			if v.Str != "function" && v.Str != "allowed_tools" {
				v.unsupported()
			}
		case "function":
			c.Names = []string{name(v)}
		case "allowed_tools":
			v.members(func(key string, v value) {
				switch key {
				case "mode":
					c.Mode = toolMode(v)
				case "tools":
					v.elements(func(v value) { c.Names = append(c.Names, tool(v).Name) })
				default:
					v.unsupported()
				}
			})
		default:
			v.unsupported()
		}
	})
	if len(c.Names) == 0 {
		v.fail("names no tool.")
	}
	return c
}

func toolMode(v value) string {
	switch mode := v.text(); mode {
	case "auto", "none", "required":
		return mode
	default:
		v.fail("must be auto, none or required, or name tools.")
		return ""
	}
}

// name returns the name of {"name": …}.
func name(v value) string {
	var out string
	v.members(func(key string, v value) {
		if key == "name" {
			out = v.text()
		} else {
			v.unsupported()
		}
	})
	return out
}

func format(v value) Format {
	var f Format
	v.members(func(key string, v value) {
		switch key {
		case "type":
			switch f.Kind = v.text(); f.Kind {
			case "text":
				f.Kind = ""
			case "json_object", "json_schema":
			default:
				v.unsupported()
			}
		case "json_schema":
			v.members(func(key string, v value) {
				switch key {
				case "schema":
					f.Schema = v.object()
				case "description":
					f.Description = v.text()
				case "name": // tells nothing that the schema does not
					v.text()
				case "strict": // other providers know no other way
					v.flag()
				default:
					v.unsupported()
				}
			})
		default:
			v.unsupported()
		}
	})
	if f.Kind == "json_schema" && f.Schema == nil {
		v.fail("must have a json_schema with a schema.")
	}
	return f
}
