package deploy_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"gopkg.in/yaml.v2"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/metrics"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// load reads a YAML file; a key that is there twice is an error.
func load(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// known are the metrics that a scrape of a node has, each with its labels.
func known(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{"up": nil}
	for _, f := range metrics.Families() {
		if f.Kind != metrics.Histogram {
			all[f.Name] = f.Labels
			continue
		}
		all[f.Name+"_bucket"] = append(slices.Clone(f.Labels), "le")
		all[f.Name+"_sum"], all[f.Name+"_count"] = f.Labels, f.Labels
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	own, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range own {
		all[f.GetName()] = nil
	}
	return all
}

// checkExpr reports what an expression names that the program has not.
func checkExpr(t *testing.T, where, expr string, all map[string][]string) {
	t.Helper()
	ms, grouped, err := uses(expr)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
		return
	}
	if len(ms) == 0 {
		t.Errorf("%s: %s names no metric", where, expr)
	}
	scraped := []string{"instance", "job"}
	labels := slices.Clone(scraped)
	for _, m := range ms {
		own, ok := all[m.metric]
		if !ok {
			t.Errorf("%s: %s: there is no metric %s", where, expr, m.metric)
		}
		labels = append(labels, own...)
		for _, l := range m.labels {
			if !slices.Contains(own, l) && !slices.Contains(scraped, l) {
				t.Errorf("%s: %s: %s has no label %q, but %q", where, expr, m.metric, l, own)
			}
		}
	}
	for _, l := range grouped {
		if !slices.Contains(labels, l) {
			t.Errorf("%s: %s: no metric in it has the label %q", where, expr, l)
		}
	}
}

type alerts struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlertsNameWhatTheProgramHas(t *testing.T) {
	var a alerts
	load(t, "prometheus/alerts.yml", &a)
	all, seen := known(t), map[string]bool{}
	label := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, g := range a.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] || r.Alert == "" {
				t.Errorf("the alert %q is there twice, or has no name", r.Alert)
			}
			seen[r.Alert] = true
			checkExpr(t, r.Alert, r.Expr, all)
			if !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) {
				t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
			}
			if r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
				t.Errorf("%s does not say what it is and what to do", r.Alert)
			}
			ms, grouped, _ := uses(r.Expr)
			for _, m := range label.FindAllStringSubmatch(r.Annotations["summary"], -1) {
				has := m[1] == "instance" || slices.Contains(grouped, m[1])
				for _, u := range ms {
					has = has || !strings.Contains(r.Expr, " by ") && slices.Contains(all[u.metric], m[1])
				}
				if !has {
					t.Errorf("%s: its summary tells the label %q, which its expression loses", r.Alert, m[1])
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
}

type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Panels []struct {
		ID                 int
		Type, Title        string
		Description        string
		GridPos            struct{ X, Y, W, H int }
		Targets            []struct{ Expr, LegendFormat string }
		Datasource         struct{ Type, UID string }
		FieldConfig, Panel json.RawMessage
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	out := map[string]dashboard{}
	for _, f := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, f)), &d); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out[f] = d
	}
	return out
}

func TestDashboardsNameWhatTheProgramHas(t *testing.T) {
	all := known(t)
	shown := map[string]bool{}
	legend := regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	variable := regexp.MustCompile(`\$\{?(\w+)\}?`)
	for file, d := range dashboards(t) {
		vars := map[string]bool{"__rate_interval": true}
		for _, v := range d.Templating.List {
			vars[v.Name] = true
			if m := regexp.MustCompile(`label_values\((\w+), *(\w+)\)`).FindSubmatch(v.Query); m != nil {
				if _, ok := all[string(m[1])]; !ok {
					t.Errorf("%s: the variable %s asks for %s, which is no metric", file, v.Name, m[1])
				}
			}
		}
		ids := map[int]bool{}
		for i, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", file, p.ID)
			}
			ids[p.ID] = true
			g := p.GridPos
			if g.X < 0 || g.W < 1 || g.X+g.W > 24 || g.H < 1 {
				t.Errorf("%s: %q is off the page: %+v", file, p.Title, g)
			}
			for _, q := range d.Panels[:i] {
				o := q.GridPos
				if g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
					t.Errorf("%s: %q lies over %q", file, p.Title, q.Title)
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: %q has no description, no expression or another source", file, p.Title)
			}
			for _, tg := range p.Targets {
				checkExpr(t, file+" "+p.Title, tg.Expr, all)
				ms, _, _ := uses(tg.Expr)
				for _, m := range ms {
					shown[strings.NewReplacer("_bucket", "", "_count", "", "_sum", "").Replace(m.metric)] = true
				}
				for _, v := range variable.FindAllStringSubmatch(tg.Expr, -1) {
					if !vars[v[1]] {
						t.Errorf("%s: %q uses the variable %q, which is not defined", file, p.Title, v[1])
					}
				}
				by := regexp.MustCompile(` by \(([^)]*)\)`).FindStringSubmatch(tg.Expr)
				for _, l := range legend.FindAllStringSubmatch(tg.LegendFormat, -1) {
					ok := by != nil && slices.Contains(strings.Split(strings.ReplaceAll(by[1], " ", ""), ","), l[1])
					for _, m := range ms {
						ok = ok || by == nil && (l[1] == "instance" || slices.Contains(all[m.metric], l[1]))
					}
					if !ok {
						t.Errorf("%s: the legend of %q tells %q, which its expression loses: %s", file, p.Title, l[1], tg.Expr)
					}
				}
			}
		}
	}
	// What nobody looks at need not be counted: each family is shown, but for
	// those that stand for others.
	elsewhere := []string{"starling_loop_busy_seconds_total"}
	for _, f := range metrics.Families() {
		if !shown[f.Name] && !slices.Contains(elsewhere, f.Name) {
			t.Errorf("no panel shows %s", f.Name)
		}
	}
}

// stage is one stage of a Dockerfile, as its instructions.
type stage struct {
	from, as string
	lines    [][2]string
}

func dockerfile(t *testing.T, path string) (stages []stage) {
	t.Helper()
	text := strings.ReplaceAll(read(t, path), "\\\n", " ")
	verbs := []string{"FROM", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if !slices.Contains(verbs, verb) {
			t.Fatalf("%s: the instruction %q is not known here", path, verb)
		}
		if verb == "FROM" {
			from, as, _ := strings.Cut(rest, " AS ")
			stages = append(stages, stage{from: from, as: as})
			continue
		}
		if len(stages) == 0 {
			t.Fatalf("%s: %s before FROM", path, verb)
		}
		s := &stages[len(stages)-1]
		s.lines = append(s.lines, [2]string{verb, strings.Join(strings.Fields(rest), " ")})
	}
	return stages
}

func (s stage) get(verb string) string {
	for _, l := range s.lines {
		if l[0] == verb {
			return l[1]
		}
	}
	return ""
}

// The image is a static binary that runs without root, built by the version of
// Go that go.mod names.
func TestDockerfile(t *testing.T) {
	stages := dockerfile(t, "Dockerfile")
	if len(stages) != 2 || stages[0].as != "build" || stages[1].from != "scratch" {
		t.Fatalf("stages = %+v, want one that builds and an empty one", stages)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if version == nil || stages[0].from != "golang:"+version[1] {
		t.Errorf("built with %s, want golang:%v", stages[0].from, version)
	}
	var build string
	for _, l := range stages[0].lines {
		if l[0] == "RUN" && strings.Contains(l[1], "go build") {
			build = l[1]
		}
		if l[0] == "COPY" {
			words := strings.Fields(l[1])
			for _, w := range words[:len(words)-1] {
				if _, err := os.Stat(filepath.Join("..", w)); err != nil {
					t.Errorf("COPY %s: %v", l[1], err)
				}
			}
		}
	}
	if !strings.HasPrefix(build, "CGO_ENABLED=0 go build -trimpath ") || !strings.HasSuffix(build, " -o /out/starling ./cmd/starling") {
		t.Errorf("built by %q, want a static, trimmed program", build)
	}
	run := stages[1]
	user := run.get("USER")
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(user) {
		t.Errorf("USER is %q, want numbers that are not root's", user)
	}
	if !strings.Contains(read(t, "Dockerfile"), "--chown="+user+" /out/data "+run.get("VOLUME")+"\n") {
		t.Errorf("the datadir %s does not belong to %s", run.get("VOLUME"), user)
	}
	if want := daemon.EnvVar("datadir") + "=" + run.get("VOLUME"); run.get("ENV") != want {
		t.Errorf("ENV is %q, want %q", run.get("ENV"), want)
	}
	if run.get("ENTRYPOINT") != `["/usr/bin/starling"]` || !strings.Contains(read(t, "Dockerfile"), "COPY --from=build /out/starling /usr/bin/starling\n") {
		t.Errorf("ENTRYPOINT is %s, which is not what is copied", run.get("ENTRYPOINT"))
	}
	if run.get("STOPSIGNAL") != "SIGTERM" {
		t.Errorf("STOPSIGNAL is %q", run.get("STOPSIGNAL"))
	}
	for line := range strings.Lines(read(t, "Dockerfile.dockerignore")) {
		for _, needed := range []string{"go.mod", "go.sum", "cmd", "internal", "wire", "ledger", "chain", "peer", "env", "*", "**"} {
			if strings.TrimSpace(line) == needed {
				t.Errorf("the image is built without %s", needed)
			}
		}
	}
}

type compose struct {
	Name     string
	Services map[string]struct {
		Image         string
		Build         map[string]string
		Profiles      []string
		Command       []string
		Environment   map[string]string
		Ports         []string
		Volumes       []string
		NetworkMode   string   `yaml:"network_mode"`
		ReadOnly      bool     `yaml:"read_only"`
		CapDrop       []string `yaml:"cap_drop"`
		SecurityOpt   []string `yaml:"security_opt"`
		DependsOn     []string `yaml:"depends_on"`
		StopGrace     string   `yaml:"stop_grace_period"`
		Restart       string
		Logging       map[string]any
		HealthcheckOK bool `yaml:"-"`
	}
	Volumes map[string]any
}

// The parts of the composition fit each other: paths, ports, names, keys.
func TestCompose(t *testing.T) {
	var c compose
	load(t, "compose.yml", &c)
	keys := map[string]bool{}
	for _, d := range daemon.Docs() {
		keys[d.Env] = true
	}
	mounts := map[string]string{}
	for name, s := range c.Services {
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build["context"], s.Build["dockerfile"])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s keeps powers that it does not need", name)
		}
		for _, d := range s.DependsOn {
			if _, ok := c.Services[d]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, d)
			}
		}
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; !named {
				if _, err := os.Stat(from); err != nil || !strings.HasSuffix(to, ":ro") {
					t.Errorf("%s: volume %s is neither declared nor a read-only folder here (%v)", name, v, err)
				}
			}
			mounts[name+" "+from] = strings.TrimSuffix(to, ":ro")
		}
		for k := range s.Environment {
			if strings.HasPrefix(k, "STARLING_") && !keys[k] {
				t.Errorf("%s: %s is no key of the config", name, k)
			}
		}
		for _, p := range s.Ports {
			if name != "node" && !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s can be reached from other machines", name, p)
			}
		}
	}
	node := c.Services["node"]
	if node.Logging == nil || !node.ReadOnly {
		t.Error("the node's log has no bound, or its file system can be written")
	}
	_, port, err := net.SplitHostPort(node.Environment["STARLING_METRICS_LISTEN"])
	if err != nil {
		t.Fatal(err)
	}
	var scrape struct {
		Global map[string]string
		Rules  []string `yaml:"rule_files"`
		Jobs   []struct {
			Name    string                `yaml:"job_name"`
			Targets []map[string][]string `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	load(t, "prometheus/prometheus.yml", &scrape)
	if len(scrape.Jobs) != 1 || scrape.Jobs[0].Name != "starling" || !slices.Equal(scrape.Jobs[0].Targets[0]["targets"], []string{"node:" + port}) || node.Environment["STARLING_METRICS_HOSTS"] != "node" {
		t.Errorf("Prometheus scrapes %+v, the node listens on %s for %s", scrape.Jobs, port, node.Environment["STARLING_METRICS_HOSTS"])
	}
	for _, r := range scrape.Rules {
		read(t, filepath.Join("prometheus", r))
	}
	if !slices.Contains(c.Services["prometheus"].Command, "--config.file="+mounts["prometheus ./prometheus"]+"/prometheus.yml") {
		t.Errorf("Prometheus reads %v", c.Services["prometheus"].Command)
	}
	var sources struct {
		API  int `yaml:"apiVersion"`
		List []struct {
			Name, UID, Type, Access, URL string
			Default                      bool `yaml:"isDefault"`
		} `yaml:"datasources"`
	}
	load(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	if len(sources.List) != 1 || sources.List[0].Type != "prometheus" || sources.List[0].URL != "http://prometheus:9090" || !sources.List[0].Default {
		t.Errorf("Grafana's source is %+v", sources)
	}
	var providers struct {
		API  int `yaml:"apiVersion"`
		List []struct {
			Name, Type string
			Options    map[string]string
			Keep       bool `yaml:"disableDeletion"`
		} `yaml:"providers"`
	}
	load(t, "grafana/provisioning/dashboards/starling.yml", &providers)
	at := mounts["grafana ./grafana/dashboards"]
	if at == "" || len(providers.List) != 1 || providers.List[0].Options["path"] != at {
		t.Errorf("Grafana looks for dashboards in %+v, they are in %q", providers.List, at)
	}
	home := c.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	read(t, filepath.Join("grafana/dashboards", strings.TrimPrefix(home, at)))
}
