# A Nomad job with Docker. Nomad silently shortens kill_timeout to max_kill_timeout, which is 30 s by default. Set it in the
# configuration of every Nomad client:
#
#   client { max_kill_timeout = "35m" }
job "engine" {
  type = "service"

  update {
    # Replaces one instance at a time. progress_deadline is 10 min by default; Nomad refuses a longer kill_timeout.
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "5s"
    healthy_deadline  = "10m"
    progress_deadline = "45m"
  }

  # For `nomad node drain`. Its -deadline, 1 h by default, must be longer than the drains of all instances on the node.
  migrate {
    max_parallel     = 1
    health_check     = "checks"
    healthy_deadline = "10m"
  }

  group "engine" {
    count = 3

    network {
      port "streams" {
        to = 8080
      }
      port "lameduck" {
        to = 8089
      }
    }

    scaling {
      min = 2
      max = 10

      policy {
        # Longer than the longest drain: a draining instance does not count, but holds its GPU.
        cooldown            = "35m"
        evaluation_interval = "30s"

        check "streams" {
          source = "prometheus"
          query  = "avg(lameduck_streams)"

          strategy "target-value" {
            target = 20
          }
        }
      }
    }

    service {
      name     = "engine"
      port     = "streams"
      provider = "nomad"

      check {
        type     = "http"
        port     = "lameduck"
        path     = "/readyz"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "engine" {
      driver = "docker"

      config {
        # Built by ../docker/Dockerfile.
        image = "registry.example.com/engine-with-lameduck:1"
        ports = ["streams", "lameduck"]
      }

      env {
        # Equal to kill_timeout.
        LAMEDUCK_GRACE_PERIOD = "30m"
        # Nomad removes the service, waits shutdown_delay, and then sends the signal. So shutdown_delay is the lame duck.
        LAMEDUCK_LAME_DUCK = "0s"
      }

      shutdown_delay = "5s"
      kill_signal    = "SIGTERM"
      kill_timeout   = "30m"

      resources {
        cpu    = 4000
        memory = 16000

        device "nvidia/gpu" {
          count = 1
        }
      }
    }
  }
}
