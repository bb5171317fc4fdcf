package config

// NeedsRestart returns the keys in which c differs from the config that a process was started with and that take effect only
// when it is started again.
func (c *Config) NeedsRestart(started *Config) []string {
	var keys []string
	differs := func(key string, is bool) {
		if is {
			keys = append(keys, key)
		}
	}
	differs("server.listen", c.Server.Listen != started.Server.Listen)
	differs("server.admin_listen", c.Server.AdminListen != started.Server.AdminListen)
	differs("server.tls_cert", (c.Server.Certificate == nil) != (started.Server.Certificate == nil))
	differs("telemetry.service_name", c.Telemetry.ServiceName != started.Telemetry.ServiceName)
	return keys
}
