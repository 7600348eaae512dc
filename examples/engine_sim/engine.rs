//! What the parts of the simulated engine share: settings, counts and log.

use std::cell::{Cell, RefCell};
use std::fmt::Arguments;
use std::rc::Rc;
use std::time::Duration;

use crate::args::{Args, Role};
use crate::kind::Kind;
use crate::log::Log;
use crate::page::{self, Page, Shape};
use crate::statistics::{Moment, Statistics};
use crate::status;

pub(crate) struct Engine {
    args: Args,
    log: Log,
    page: Cell<Page>,
    /// The text of a frozen page.
    frozen: RefCell<String>,
    statistics: RefCell<Statistics>,
    admitted: Cell<u64>,
    open: Cell<u64>,
}

/// A stream's slot in the engine, released on drop.
pub(crate) struct Slot {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    engine: Rc<Engine>,
    on_gauge: bool,
}

/// Too many streams are active for another one.
pub(crate) struct Full;

impl Engine {
    pub(crate) fn new(args: Args, log: Log) -> Self {
        let page = args.page.page;
        let engine = Self {
            args,
            log,
            page: Cell::new(Page::Ok),
            frozen: RefCell::default(),
            statistics: RefCell::new(Statistics::new()),
            admitted: Cell::new(0),
            open: Cell::new(0),
        };
        engine.replace_page(page);
        engine
    }

    pub(crate) fn args(&self) -> &Args {
        &self.args
    }

    pub(crate) fn log(&self, line: Arguments<'_>) {
        self.log.line(line);
    }

    /// How many streams are open, whatever the gauge says.
    pub(crate) fn open(&self) -> u64 {
        self.open.get()
    }

    pub(crate) fn admit(self: &Rc<Self>, kind: Kind) -> Result<Slot, Full> {
        let mut statistics = self.statistics.borrow_mut();
        let (active, limit) = (statistics.active(), self.args.streams.max_active);
        if limit > 0 && active >= limit {
            statistics.answered(kind, "5xx");
            self.log(format_args!("stream refused kind={}, {active} of {limit} active", kind.name()));
            return Err(Full);
        }
        statistics.answered(kind, "1xx");
        statistics.enter(kind);
        self.admitted.set(self.admitted.get() + 1);
        self.open.set(self.open.get() + 1);
        Ok(Slot { id: self.admitted.get(), kind, engine: Rc::clone(self), on_gauge: true })
    }

    pub(crate) fn observe(&self, kind: Kind, moment: Moment, took: Duration) {
        self.statistics.borrow_mut().observe(kind, moment, took);
    }

    pub(crate) fn page(&self) -> Page {
        self.page.get()
    }

    pub(crate) fn set_page(&self, page: Page) {
        self.replace_page(page);
        self.log(format_args!("page is now {page}"));
    }

    fn replace_page(&self, page: Page) {
        let before = self.text();
        self.frozen.replace(before);
        self.page.set(page);
    }

    /// The text of the page, before it is broken.
    pub(crate) fn text(&self) -> String {
        if self.page() == Page::Frozen {
            return self.frozen.borrow().clone();
        }
        match self.args.role {
            Role::Engine => self.exposition(),
            Role::Api => status::render(&self.statistics.borrow(), self.page()),
        }
    }

    fn exposition(&self) -> String {
        let shape = Shape {
            page: self.page(),
            max_active: self.args.streams.max_active,
            started_at: self.args.page.started_at,
            flux_names: self.args.page.flux_names,
            flux_as_stream: self.args.page.flux_as_stream,
        };
        page::render(&self.statistics.borrow(), shape)
    }
}

impl Slot {
    pub(crate) fn engine(&self) -> &Rc<Engine> {
        &self.engine
    }

    /// Removes the stream from the gauge; it may still be open.
    pub(crate) fn leave_gauge(&mut self) {
        if self.on_gauge {
            self.on_gauge = false;
            self.engine.statistics.borrow_mut().leave(self.kind);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave_gauge();
        self.engine.open.set(self.engine.open.get().saturating_sub(1));
    }
}
